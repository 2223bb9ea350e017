"""One module a stage; each reads the directories of earlier stages and writes its own."""
