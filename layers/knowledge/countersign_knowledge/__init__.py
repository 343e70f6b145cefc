"""The knowledge layer: finding passages, and checking sentences against them."""
