"""Docker engines that a test may stop, kill, fill or silence."""
