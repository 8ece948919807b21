"""Sources that need clients: databases, streams, brokers, watched folders."""
