"""Where models come from: git, archive, directory, bundled – one file each."""
