"""What people ask about a workflow as a whole: how it stands, what it will take, how it ended, how to begin one."""
