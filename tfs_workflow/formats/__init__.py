"""File and wire formats that the tool and the embedded server share."""
