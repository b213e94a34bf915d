"""From the words of a command line to the options of every verb in it, with help and suggestions."""
