"""What every room uses and no reader calls."""
