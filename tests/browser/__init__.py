"""Tests in a real browser: every notebook, every widget and the app, as a person would use them."""
