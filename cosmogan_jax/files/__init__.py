"""Files of one format each: written whole or not at all, and read without trust."""
