"""What tests of the whole product share: a generated network, a server process, a scripted charger.

* ``network``  writes a config with as many chargers as a test wants
* ``server``   runs ``cms serve`` on it as a process that can be killed
* ``charger``  speaks OCPP-J by the letter of the test, for what no sane charger would do
* ``figures``  judges a scenario by its figures and prints them in one line
"""
