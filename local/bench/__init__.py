"""`countersign bench`: what is measured, and how."""
