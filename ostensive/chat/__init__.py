"""Chat access: teachers behind one interface, with a journal, a budget and a server for rehearsals."""
