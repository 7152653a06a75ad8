"""Where the site's tables are."""


class SessionsRouter:
    """Sessions are in the database "sessions", which has nothing else."""

    def db_for_read(self, model, **hints):
        return "sessions" if model._meta.app_label == "sessions" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == "sessions") == (app_label == "sessions")
