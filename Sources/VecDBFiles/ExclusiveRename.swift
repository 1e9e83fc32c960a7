import Glibc

private typealias RenameAt2 =
  @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32

/// `renameat2` of the C library, nil where it is too old to have one. The Swift module of glibc
/// does not declare it, because it is an extension of Linux.
private let renameAt2: RenameAt2? = dlsym(nil, "renameat2").map {
  unsafeBitCast($0, to: RenameAt2.self)
}

/// `RENAME_NOREPLACE` of linux/fs.h.
private let noReplace: UInt32 = 1

/// `RENAME_EXCHANGE` of linux/fs.h.
private let exchangeNames: UInt32 = 2

/// Exchanges the names of two files or directories in one atomic step. Returns as
/// `renameWithoutReplacing` does.
func renameExchanging(_ one: String, _ other: String) -> Int32 {
  guard let renameAt2 else { return ENOSYS }
  return renameAt2(AT_FDCWD, one, AT_FDCWD, other, exchangeNames) == 0 ? 0 : errno
}

/// Renames a file or directory where `target` is not there, in one atomic step.
///
/// - Returns: 0, or the `errno`: `EEXIST` if `target` is there; `ENOSYS` or `EINVAL` if the C
///   library, the kernel or the file system cannot do it.
func renameWithoutReplacing(_ source: String, _ target: String) -> Int32 {
  guard let renameAt2 else { return ENOSYS }
  return renameAt2(AT_FDCWD, source, AT_FDCWD, target, noReplace) == 0 ? 0 : errno
}
