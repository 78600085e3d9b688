"""Training in several processes: launch, rendezvous, collectives, watchdog."""
