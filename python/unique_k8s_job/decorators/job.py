"""`@task.unique_k8s_job`: a Python function runs in a Job; `@task.unique_k8s_job_cmd`: a function returns its command.

Both are `UniqueK8sJobOperator` with Airflow's own `DecoratedOperator` before it, so whatever Airflow does with decorated
tasks (mapping, `multiple_outputs`, `override`, setup and teardown) is Airflow's code.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from unique_k8s_job import native
from unique_k8s_job.exceptions import ConfigurationError
from unique_k8s_job.operators.job import UniqueK8sJobOperator
from unique_k8s_job.task.compat import Context, DecoratedOperator, determine_kwargs, task_decorator_factory

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import TaskDecorator

#: What the decorators make themselves.
_MADE = ("cmds", "arguments")


class _DecoratedJobOperator(DecoratedOperator, UniqueK8sJobOperator):
    """What both have in common: a function takes the place of the command."""

    custom_operator_name: str
    #: Airflow 3.0 reads it, has none, and does nothing with it.
    xcom_push = getattr(DecoratedOperator, "xcom_push", None)
    shallow_copy_attrs: Sequence[str] = ("python_callable",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **UniqueK8sJobOperator.template_fields_renderers,
        **DecoratedOperator.template_fields_renderers,
    }

    def __init__(self, **kwargs: Any) -> None:
        for argument in _MADE:
            if kwargs.get(argument) is not None:
                raise ConfigurationError(
                    f"`{argument}` is not for `{self.custom_operator_name}`",
                    hint="the function takes the place of the command: remove the argument",
                    path=argument,
                )
        super().__init__(**kwargs)


class UniqueK8sJobFunctionOperator(_DecoratedJobOperator):
    """Run a Python function in a Job.

    :param python: the Python of the image, 3.7 or newer
    :param xcom: how the value that the function returns comes back: `termination-message` (less than 4096 bytes),
        `sidecar` (up to 256 KiB), or None: the task returns the summary of the outcome instead
    """

    custom_operator_name = "@task.unique_k8s_job"
    template_fields: Sequence[str] = (
        "op_args",
        "op_kwargs",
        *(name for name in UniqueK8sJobOperator.template_fields if name not in _MADE),
    )

    def __init__(self, *, python: str = "python3", xcom: Any = "termination-message", **kwargs: Any) -> None:
        super().__init__(xcom=xcom, **kwargs)
        self.python = python
        if not self.do_xcom_push:
            self.xcom = None

    def execute(self, context: Context) -> Any:
        """Send the function and its arguments to a Job, and return what it returns."""
        import pkgutil

        from unique_k8s_job.decorators.shipped_function import arguments_of, literal, source_of

        function: Callable[..., Any] = self.python_callable
        source = source_of(function)
        given = arguments_of(function, list(self.op_args), self.op_kwargs, context)
        program = pkgutil.get_data(__package__, "function_in_job.py")
        file = native.RESULT_FILE if self.xcom else ""
        # Unbuffered: what the function prints is in the log at once.
        self.cmds = [self.python, "-u", "-c", literal((program or b"").decode())]
        self.arguments = [literal(word) for word in (function.__name__, file, source, given)]
        return super().execute(context)


class UniqueK8sJobCommandOperator(_DecoratedJobOperator):
    """Run the command that a Python function returns in a Job. The function runs in the worker.

    :param args_only: the function returns the arguments of the image's own entrypoint
    """

    custom_operator_name = "@task.unique_k8s_job_cmd"
    template_fields: Sequence[str] = ("op_args", "op_kwargs", *UniqueK8sJobOperator.template_fields)
    #: So Airflow shows the command that the function returned.
    overwrite_rtif_after_execution = True

    def __init__(self, *, args_only: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.args_only = args_only

    def execute(self, context: Context) -> Any:
        """Ask the function for the command, and run it in a Job."""
        command: list[str] = self.render_template(self._command(context), context)
        self.cmds: list[str] | None = None if self.args_only else command
        self.arguments: list[str] | None = command if self.args_only else None
        return super().execute(context)

    def _command(self, context: Context) -> list[str]:
        given: Any = ChainMap(dict(self.op_kwargs), context)  # type: ignore[arg-type]
        command: Any = self.python_callable(
            *self.op_args, **determine_kwargs(self.python_callable, self.op_args, given)
        )
        words = isinstance(command, list) and all(isinstance(word, str) for word in command)
        if not words or not command:
            raise ConfigurationError(
                f"`{self.python_callable.__name__}` has to return a list of texts, the command of the Job",
                seen=[f"it returned a value of type {type(command).__name__}" if command else "it returned nothing"],
                hint='return it as `["train", "--date", ds]`',
                path="python_callable",
            )
        return list(command)


def unique_k8s_job_task(
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """Make a task of a function that runs in a Job.

    :param multiple_outputs: make an XCom of each item of the dict that it returns
    :param kwargs: arguments of `UniqueK8sJobFunctionOperator` and `UniqueK8sJobOperator`
    """
    return task_decorator_factory(
        python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=UniqueK8sJobFunctionOperator,
        **kwargs,
    )


def unique_k8s_job_cmd_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns the command of a Job.

    :param kwargs: arguments of `UniqueK8sJobCommandOperator` and `UniqueK8sJobOperator`
    """
    return task_decorator_factory(python_callable, decorated_operator_class=UniqueK8sJobCommandOperator, **kwargs)
