# Sourced by build-images and set-version: sets "version" to a semantic version, without the "v" of a git tag.
read_version() { # VERSION [ADVICE]
  version=${1#v}
  if ! [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$ ]]; then
    echo "${0##*/}: '$version' is not a version such as 1.4.2 or 1.5.0-rc.1.${2:+ $2}" >&2
    exit 2
  fi
}
