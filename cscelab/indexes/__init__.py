"""What `cscelab.search` is made of: the exact scan, the approximate kinds, the file, re-ranking."""
