"""What a plugin of each kind promises, one file a kind."""
