"""What each verb loads, does and shows, one file each; imported when its task runs."""
