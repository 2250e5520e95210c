"""Extensions of the protocol: ``base.py`` says what one is, each other file is one. RFC 6455, 9."""
