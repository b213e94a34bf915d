"""The verbs that say how good the answers are."""
