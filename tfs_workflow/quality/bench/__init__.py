"""How fast a server answers: the load, what was measured, the verdict, and how it is shown."""
