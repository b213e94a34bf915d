"""What several tests share: real servers with faults in front of them, and the command line."""
