"""main.cf and master.cf: the macro language, typed parameters, settings, and checks that find mistakes early."""
