package sqlite

import "golang.org/x/sys/unix"

// sharedFilesystems are those behind which another kernel may use the same
// files: processes there would not see our locks, nor the shared memory of the
// write-ahead log.
var sharedFilesystems = map[int64]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x01021997: "9P",
	0x65735546: "FUSE or virtiofs",
	0x5346414f: "AFS",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
	0x47504653: "GPFS",
	0xbacbacbc: "VMware shared folders",
	0x786f4256: "VirtualBox shared folders",
}

// sharedFilesystem returns the name of the file system that holds folder if
// other machines may share it, else "".
func sharedFilesystem(folder string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return "", err
	}
	return sharedFilesystems[int64(uint32(fs.Type))], nil // the type of Type differs by architecture
}

// diskSpace returns how many bytes of the disk that holds folder are free for
// this user, and how many there are.
func diskSpace(folder string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return 0, 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize), nil
}
