# SPDX-License-Identifier: MIT
"""CPython's own tests of multiprocessing.shared_memory, by each way to start a process.

Nothing of them is replaced. FETCHED_TESTS says where they are, if not beside the rest of the
standard library.
"""

import multiprocessing
import os
import sys
import test
import unittest

if "FETCHED_TESTS" in os.environ:
    test.__path__.append(os.environ["FETCHED_TESTS"])


def tests_of(method):
    from test import _test_multiprocessing

    names = {"__name__": "__main__"}
    _test_multiprocessing.install_tests_in_module_dict(names, method)

    class Case(names["WithProcessesTestSharedMemory"]):
        @classmethod
        def setUpClass(cls):
            multiprocessing.set_start_method(method, force=True)
            super().setUpClass()

        def id(self):
            return f"{super().id()} ({method})"

    return unittest.defaultTestLoader.loadTestsFromTestCase(Case)


if __name__ == "__main__":
    suite = unittest.TestSuite(map(tests_of, multiprocessing.get_all_start_methods()))
    count = suite.countTestCases()
    if count < 20:
        sys.exit(f"there are only {count} tests")
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(not result.wasSuccessful())
