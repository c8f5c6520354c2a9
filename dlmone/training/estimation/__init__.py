"""What a run will take: network passes counted from requests, timed here, and iterations tried."""
