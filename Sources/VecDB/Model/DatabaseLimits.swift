/// The limits of a database. If you exceed one, the error names it.
public enum DatabaseLimits {
  /// Dimensions of a collection: 1 to 65,536.
  public static let maximumDimensions = 65_536
  /// Bytes of a key in UTF-8.
  public static let maximumKeyBytes = 1_024
  /// Bytes of a collection's name in UTF-8.
  public static let maximumNameBytes = 255
  /// The new space of a migration has the collection's name and one byte more.
  package static let maximumStoredNameBytes = maximumNameBytes + 1
  public static let maximumCollections = 1_024
  public static let maximumMarks = 1_000
  /// Bytes of one atomic batch; a larger call is split.
  public static let maximumBatchBytes = 16 << 20
  /// The largest k and efSearch of a search.
  public static let maximumK = 65_536
}
