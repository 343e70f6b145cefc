"""The offline Bedrock: the real wire formats in front of a deterministic stand-in model, or of a real one."""
