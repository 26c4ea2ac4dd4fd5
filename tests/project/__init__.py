"""The rules that every page and every module keeps, as functions, and their tests."""
