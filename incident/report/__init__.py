"""An outcome as page, chat text and terminal text."""
