"""The program of a Job of `@task.unique_k8s_job`: calls the function, and writes what it returns as JSON.

It is sent as text (`python3 -u -c`) and runs with any Python from 3.7 on; nothing of this package is in the image.
Its arguments: the name of the function, the file of the result (empty: none is wanted), the source, the arguments.
"""

import __future__

import json
import linecache
import os
import sys
import traceback


def main() -> int:
    # Whatever the locale of the container is, they were sent as UTF-8.
    name, file, source, given = [os.fsencode(word).decode("utf-8") for word in sys.argv[1:5]]
    del sys.argv[1:]
    origin = f"<function {name}>"
    # So a traceback shows the lines of the function.
    linecache.cache[origin] = (len(source), None, source.splitlines(True), origin)
    given = json.loads(given)
    names = {"__name__": "__main__"}
    try:
        # As Airflow does it: annotations may name what only a type checker imports.
        exec(compile(source, origin, "exec", __future__.annotations.compiler_flag, True), names)  # noqa: S102
        result = names[name](*given["args"], **given["kwargs"])  # type: ignore[operator]
        if hasattr(result, "__await__"):
            import asyncio

            result = asyncio.run(result)
    except Exception as error:  # noqa: BLE001  # the traceback without the lines of this program
        below = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, below)
        return 1
    if file and result is not None:
        try:
            text = json.dumps(result)
        except (TypeError, ValueError, RecursionError) as error:
            print(f"What `{name}` returned is no JSON: {error}", file=sys.stderr)
            return 1
        with open(file, "w") as written:
            written.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
