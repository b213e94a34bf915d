"""The order of steps of the verbs that judge a server: serve if nothing serves, ask, judge, tear down."""
