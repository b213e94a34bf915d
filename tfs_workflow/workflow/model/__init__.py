"""A model on its way to the user: the project that its path implies, a request that it takes, a first answer."""
