"""What the Makefile runs for authors: refreshing pages, planting faults, launching elsewhere."""
