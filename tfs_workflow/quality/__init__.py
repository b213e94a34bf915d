"""Whether what is served is right and fast enough; every module takes a server that runs, and starts none itself."""
