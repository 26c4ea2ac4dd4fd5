"""Measurements that take minutes: each command writes the file of evidence that a page reads."""
