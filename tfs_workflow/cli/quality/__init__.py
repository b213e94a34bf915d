"""The verbs that judge what is served."""
