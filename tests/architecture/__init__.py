"""The shape of the project itself: who may import whom, what is deployed, what a cold start loads."""
