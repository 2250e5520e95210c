"""What tests of the native engine share."""

from tests.native.ways import way as way
