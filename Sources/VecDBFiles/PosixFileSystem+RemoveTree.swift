import Glibc

extension PosixFileSystem {
  /// Removes depth first, through directory descriptors, and follows no symbolic link: what a
  /// link points to stays.
  package func removeTree(_ path: String) throws {
    try removeTree(path, in: AT_FDCWD, at: path)
  }

  /// - Parameters:
  ///   - name: The entry to remove, relative to `directory`.
  ///   - path: The same as a whole path, for errors.
  private func removeTree(
    _ name: UnsafePointer<CChar>, in directory: Int32, at path: String
  ) throws {
    if unlinkat(directory, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR { return }
    // Linux says EISDIR for a directory, POSIX EPERM.
    guard errno == EISDIR || errno == EPERM else {
      throw systemError(errno, "remove the file", at: path)
    }
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    let descriptor = try retryingOnInterrupt("remove the directory", at: path) {
      openat(directory, name, flags)
    }
    guard let stream = fdopendir(descriptor) else {
      let code = errno
      close(descriptor)
      throw systemError(code, "list the directory", at: path)
    }
    // closedir also closes the descriptor.
    defer { closedir(stream) }
    try forEachEntry(of: stream, at: path) { entry in
      try removeTree(entry, in: descriptor, at: path + "/" + String(cString: entry))
    }
    guard unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT else {
      throw systemError(errno, "remove the directory", at: path)
    }
  }
}
