"""Why a stream ends, or goes on."""
