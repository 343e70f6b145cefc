"""The core layer: cases, approvals, claims and the two edges. Imports nothing of the other layers."""
