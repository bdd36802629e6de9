//! Programs that take AWS's variables: the aws CLI and whatever uses boto3, pointed at a service and nothing else.

use crate::service::Service;
use std::path::Path;
use std::process::Command;

/// `home` keeps them from reading somebody's profile.
pub fn speak_to(service: &Service, home: &Path, command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", &service.credentials.s3_key)
        .env("AWS_SECRET_ACCESS_KEY", &service.credentials.s3_secret)
        .env("AWS_DEFAULT_REGION", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("HOME", home);
}
