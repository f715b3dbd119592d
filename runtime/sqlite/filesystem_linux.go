package sqlite

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sharedFilesystems are those behind which another kernel may use the same
// files: processes there would not see our locks, nor the shared memory of the
// write-ahead log.
var sharedFilesystems = map[int64]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x564c:     "NCP",
	0x01021997: "9P",
	0x65735546: "FUSE or virtiofs",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0x20030528: "OrangeFS",
	0xaad7aaea: "PanFS",
	0xbeefdead: "StorNext",
	0x61636673: "ACFS",
	0xbacbacbc: "VMware shared folders",
	0x786f4256: "VirtualBox shared folders",
	0x7c7c6673: "Parallels shared folders",
}

// sharedFilesystem returns the name of the file system that holds folder if
// other machines may share it, else "".
func sharedFilesystem(folder string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return "", err
	}
	return sharedName(&fs), nil
}

func sharedName(fs *unix.Statfs_t) string {
	return sharedFilesystems[int64(uint32(fs.Type))] // the type of Type differs by architecture
}

// mountedAlone says whether the file at path is a mount of its own: then another
// container may have the same file, and a write-ahead log of its own beside it.
func mountedAlone(path string) bool {
	file, known := mountOf(path)
	folder, alike := mountOf(filepath.Dir(path))
	return known && alike && file != folder
}

func mountOf(path string) (id uint64, known bool) {
	var info unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &info)
	return info.Mnt_id, err == nil && info.Mask&unix.STATX_MNT_ID != 0
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
