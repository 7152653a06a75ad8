"""No models. Without this module Django would not send ``post_migrate`` for the app."""
