"""The llm layer: prompts, roles and what a model call costs. The only place that knows LangChain."""
