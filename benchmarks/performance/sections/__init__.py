"""What the page tells of it: one module for each part."""
