"""The subcommands: each calls one step with the paths that its artifact's name gives."""
