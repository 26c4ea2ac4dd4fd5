"""Networks that others trained, with their weights inside an installed package."""
