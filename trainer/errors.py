"""Errors of the trainer that a person can act on."""


class TrainerError(Exception):
    """What we got, what we wanted, what to do. The command line prints it as one sentence."""

    user_facing = True
