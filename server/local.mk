# The metadata server.
